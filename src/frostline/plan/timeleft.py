"""The time that a training still takes: the price, corrected by what its epochs have cost so far."""

from dataclasses import dataclass, field

from frostline.plan.price import StagePrice


@dataclass(slots=True)
class TimeLeft:
    """Grows more certain with every epoch: the price counts as much as one epoch that cost just that."""

    prices: dict[int, StagePrice] = field(default_factory=dict)
    """Of the stages that are not done, by number."""
    paid: float = 0.0
    """Seconds that epochs took."""
    priced: float = 0.0
    """Seconds that they were to take."""

    def note(self, stage: int, seconds: float) -> None:
        """Note an epoch of a stage that took so many seconds."""
        self.paid += seconds
        self.priced += self.prices[stage].epoch_seconds

    def after(self, stage: int, epochs: int, share: float, seconds: float) -> float:
        """Tell how many seconds are left.

        Args:
            stage: number of the one under way.
            epochs: of it that are done.
            share: of the epoch under way that is done.
            seconds: that it has taken.
        """
        price, left = self.prices[stage].epoch_seconds, self.prices[stage].stage.epochs - epochs - share
        later = sum(other.seconds for number, other in self.prices.items() if number > stage)
        correction = (self.paid + seconds + price) / (self.priced + share * price + price)
        return correction * (left * price + later)
