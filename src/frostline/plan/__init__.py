"""Plans: the stage grammar, freezing, optimizers, schedules, prices."""
