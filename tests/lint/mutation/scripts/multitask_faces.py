"""Three heads on one trunk: the emotion, glasses or not, and the age."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

EMOTIONS = 4


class FaceNet(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten()
        )
        self.emotion = nn.Linear(4 * width, EMOTIONS)
        self.glasses = nn.Linear(4 * width, 1)
        self.age = nn.Linear(4 * width, 1)

    def forward(self, x):
        h = self.trunk(x)
        return self.emotion(h), self.glasses(h), self.age(h)


def losses(model, batch):
    images, emotion, glasses, age = batch
    emotion_logits, glasses_logit, age_hat = model(images)
    emotion_loss = nn.functional.cross_entropy(emotion_logits, emotion)
    glasses_loss = nn.functional.binary_cross_entropy_with_logits(glasses_logit, glasses.unsqueeze(1))
    age_loss = nn.functional.mse_loss(age_hat, age.unsqueeze(1))
    return emotion_loss + glasses_loss + 0.1 * age_loss


def evaluate(model, loader):
    model.eval()
    right, glasses_right, squared, n = 0, 0, 0.0, 0
    with torch.no_grad():
        for images, emotion, glasses, age in loader:
            emotion_logits, glasses_logit, age_hat = model(images)
            right += (emotion_logits.argmax(1) == emotion).sum().item()
            wearing = glasses_logit.squeeze(1) > 0
            glasses_right += (wearing == glasses.bool()).sum().item()
            squared += nn.functional.mse_loss(age_hat.squeeze(1), age, reduction="sum").item()
            n += len(age)
    return right / n, glasses_right / n, (squared / n) ** 0.5


def main():
    torch.manual_seed(4)
    n = 30
    images = torch.randn(n, 1, 10, 10)
    emotion = torch.randint(EMOTIONS, (n,))
    glasses = torch.randint(2, (n,)).float()
    age = torch.rand(n) * 2 - 1
    loader = DataLoader(TensorDataset(images, emotion, glasses, age), batch_size=9, shuffle=True)
    model = FaceNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(3):
        model.train()
        for batch in loader:
            loss = losses(model, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    print("emotion {:.4f} glasses {:.4f} age {:.6f}".format(*evaluate(model, loader)))


if __name__ == "__main__":
    main()
