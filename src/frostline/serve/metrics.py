"""What a server tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter("frostline_requests", "Requests answered.", ["path", "status"], registry=self.registry)
        self.seconds = Histogram(
            "frostline_request_seconds", "From a request to its answer.", ["path"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.pictures = Counter(
            "frostline_pictures", "Pictures: sure, unsure, or not read.", ["outcome"], registry=self.registry
        )
        self.classes = Counter(
            "frostline_predicted", "Pictures by their most probable class.", ["class"], registry=self.registry
        )
        self.batches = Histogram(
            "frostline_batch_pictures", "Pictures that were computed together.",
            buckets=SIZES, registry=self.registry,
        )  # fmt: skip
        self.waiting = Gauge("frostline_waiting_pictures", "Pictures not answered yet.", registry=self.registry)

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
