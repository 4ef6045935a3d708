"""What the head takes, of the network as it began: by way of the rows that the first stage keeps anyway."""

from collections.abc import Callable, Sequence

from frostline.activations.feed import ContinuedFeed, Feed
from frostline.data.loader import Request
from frostline.network.splitting import between, split
from frostline.plan.stages import Stage
from frostline.training.pricing import are_kept
from frostline.training.task import Origin, Task, engine_of, open_feed, stage_requests


def open_before_head(task: Task, requests: Sequence[Request], choose: Callable[[Stage], str]) -> Feed:
    """Make the feed of activations before the head, of the network with its starting weights.

    Where the first stage's frost line lies below the head, the layers between go on from the stage's rows, so that
    those below it are computed once for both. Otherwise these rows are the stage's own (it trains the head alone), or
    are computed for this (`first_has_rows` is false), and kept: they are small.

    Args:
        task: the run's.
        requests: all that will be asked of the feed.
        choose: tells where the first stage has its rows from (ram, disk or off), if that is left to us.
    """
    head, first, mode = task.traced.before("head"), task.plan[0], task.config.feature_cache
    if first_has_rows(task) and first.cut.position < head.position:
        divided = split(task.traced, first.cut)
        origin = Origin(engine_of(task, divided), choose(first) if mode == "auto" else mode)
        return ContinuedFeed(
            open_feed(task, divided, origin, requests), between(task.traced, first.cut, head), task.fabric
        )
    divided = split(task.traced, head)
    kept = "disk" if mode == "auto" else mode
    origin = Origin(engine_of(task, divided), kept if task.views.can_be_stored else "off")
    return open_feed(task, divided, origin, requests)


def first_has_rows(task: Task) -> bool:
    """Whether the first stage leaves something frozen, and shows pictures in the network's own size."""
    first = task.plan[0]
    return first.size is None and first.cut.position > 0


def where_kept(task: Task, stage: Stage) -> str:
    """Give disk where all rows of a stage are there, off otherwise."""
    divided, requests = split(task.traced, stage.cut), stage_requests(task)
    return "disk" if requests and are_kept(task, divided, engine_of(task, divided), requests) else "off"
