"""Reports: the plots of a run."""
