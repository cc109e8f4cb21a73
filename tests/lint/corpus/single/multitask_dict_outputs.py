# case: multi-task net returning a dict of logits and probabilities; each loss reads the right key
import torch
from torch import nn


class FaceNet(nn.Module):
    """Age in years, gender (two classes), attributes (many labels)."""

    def __init__(self, n_attr=10):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.Flatten()
        )
        self.heads = nn.ModuleDict(
            {"age": nn.LazyLinear(1), "gender": nn.LazyLinear(2), "attributes": nn.LazyLinear(n_attr)}
        )

    def forward(self, x):
        h = self.trunk(x)
        out = {name: head(h) for name, head in self.heads.items()}
        out["age"] = out["age"].squeeze(1)
        out["gender_probs"] = out["gender"].softmax(dim=1)
        out["attribute_probs"] = torch.sigmoid(out["attributes"])
        return out


criterions = {
    "age": nn.SmoothL1Loss(),
    "gender": nn.CrossEntropyLoss(),
    "attributes": nn.BCEWithLogitsLoss(),
}
weights = dict(age=0.1, gender=1.0, attributes=2.0)


def total_loss(outputs, targets):
    parts = {k: crit(outputs[k], targets[k]) for k, crit in criterions.items()}
    return sum(weights[k] * v for k, v in parts.items()), parts


def report(outputs, targets):
    attr = ((outputs["attribute_probs"] > 0.5) == targets["attributes"].bool()).float().mean()
    gender = (outputs["gender_probs"].argmax(1) == targets["gender"]).float().mean()
    mae = (outputs["age"] - targets["age"]).abs().mean()
    return {"attr": attr.item(), "gender": gender.item(), "mae": mae.item()}


model = FaceNet()
model(torch.rand(1, 3, 24, 24))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(4):
    batch = {
        "age": torch.rand(8) * 80,
        "gender": torch.randint(0, 2, (8,)),
        "attributes": torch.randint(0, 2, (8, 10)).float(),
    }
    outputs = model(torch.rand(8, 3, 24, 24))
    loss, parts = total_loss(outputs, batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print({k: round(v.item(), 3) for k, v in parts.items()}, report(outputs, batch))
