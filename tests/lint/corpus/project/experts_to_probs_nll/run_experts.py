import torch
import torch.nn as nn
from common.experts import MixtureOfExperts
from common.utils import count_parameters, to_device

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def batches(n, d_in=20, n_classes=5):
    for _ in range(n):
        yield {"x": torch.randn(128, d_in), "y": torch.randint(n_classes, (128,))}


def main():
    model = MixtureOfExperts(20, 5).to(DEVICE)
    print(f"{count_parameters(model)} parameters")
    nll = nn.NLLLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for i, batch in enumerate(batches(300)):
        batch = to_device(batch, DEVICE)
        prediction = model(batch["x"])
        loss = nll(prediction, batch["y"])  # expect: LH104
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i % 50 == 0:
            print(f"{i}: {loss.item():.3f}")


if __name__ == "__main__":
    main()
