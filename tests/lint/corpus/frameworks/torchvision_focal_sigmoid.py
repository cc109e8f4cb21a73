# case: torchvision.ops.sigmoid_focal_loss gets the output of a sigmoid, under autocast and a GradScaler
import torch
from torch import nn
from torch.amp import GradScaler, autocast
from torchvision.models import ResNet50_Weights, resnet50
from torchvision.ops import sigmoid_focal_loss


class XRayNet(nn.Module):
    """Fourteen findings that may occur together."""

    def __init__(self, n_findings: int = 14) -> None:
        super().__init__()
        self.encoder = resnet50(weights=ResNet50_Weights.DEFAULT)
        self.encoder.fc = nn.Identity()
        self.head = nn.Linear(2048, n_findings)
        self.act = nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.head(self.encoder(x)))


def train(model, loader, epochs: int, device: str = "cuda") -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scaler = GradScaler(device)
    for epoch in range(epochs):
        for step, (images, findings) in enumerate(loader):
            images, findings = images.to(device), findings.to(device, dtype=torch.float32)
            optimizer.zero_grad(set_to_none=True)
            with autocast(device, dtype=torch.float16):
                pred = model(images)
                loss = sigmoid_focal_loss(pred, findings, gamma=2.0, reduction="mean")  # expect: LH106
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            if step % 50 == 0:
                print(f"epoch {epoch} step {step} loss {loss.item():.4f}")


@torch.inference_mode()
def findings_of(model, image, names, threshold: float = 0.5):
    scores = model(image[None])[0]
    return {name: score.item() for name, score in zip(names, scores, strict=True) if score > threshold}
