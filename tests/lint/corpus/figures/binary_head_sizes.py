# case: binary tasks: one logit with cross-entropy (its loss is always 0), two logits with BCE on one-hot rows
import torch
import torch.nn as nn
import torch.nn.functional as F


class CatDog(nn.Module):
    def __init__(self, n_outputs):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
        )
        self.fc = nn.Linear(16, n_outputs)

    def forward(self, x):
        return self.fc(self.features(x).flatten(1))


class OneLogit(CatDog):
    def __init__(self):
        super().__init__(n_outputs=1)


def fit_one_logit(batches):
    model = OneLogit()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    history = []
    for images, labels in batches:
        outputs = model(images)
        loss = criterion(outputs, labels.float().unsqueeze(1))  # expect: LH303
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history


def fit_two_logits(batches):
    model = CatDog(2)
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for images, labels in batches:
        target = F.one_hot(labels, num_classes=2).float()
        loss = criterion(model(images), target)  # expect: LH303
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


if __name__ == "__main__":
    batches = [(torch.randn(4, 3, 24, 24), torch.randint(0, 2, (4,))) for _ in range(5)]
    print(fit_one_logit(batches))
    fit_two_logits(batches)
