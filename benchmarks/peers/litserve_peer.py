"""A ResNet-18 behind LitServe, as its introduction does it: one worker, batches of 32, 10 ms to fill one.

    python litserve_peer.py PORT CLASSES

The network computes in bfloat16 with channels last, which is faster here than LitServe's plain example; its weights are
random, for only speed is measured.
"""

import io
import sys

import litserve
import torch
from PIL import Image
from torchvision.models import resnet18
from torchvision.transforms import v2

BATCH, WAIT = 32, 0.01


class Classifier(litserve.LitAPI):
    """From a picture in a form to the probabilities of its classes."""

    def setup(self, device: str) -> None:
        """Build the network."""
        self.model = resnet18(num_classes=int(sys.argv[2])).eval().to(device, memory_format=torch.channels_last)
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        frame = [v2.Resize(256), v2.CenterCrop(224), v2.ToImage()]
        self.frame = v2.Compose([*frame, v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])

    def decode_request(self, request) -> torch.Tensor:  # noqa: ANN001  LitServe reads JSON where it has a type
        """Decode the picture."""
        with Image.open(io.BytesIO(request["pictures"].file.read())) as picture:
            return self.frame(picture.convert("RGB"))

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Join pictures."""
        return torch.stack(inputs).contiguous(memory_format=torch.channels_last)

    def predict(self, pictures: torch.Tensor) -> torch.Tensor:
        """Compute a batch."""
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return self.model(pictures).float().softmax(1)

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        """Part the pictures again."""
        return list(output)

    def encode_response(self, output: torch.Tensor) -> dict:
        """Name the best five."""
        values, places = output.topk(min(5, len(output)))
        return {"top": list(zip(places.tolist(), values.tolist(), strict=True))}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(max_batch_size=BATCH, batch_timeout=WAIT), accelerator="cpu")
    server.run(port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False)
