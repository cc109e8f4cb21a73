"""Names to languages: a sequential model that ends in nn.LogSoftmax, with nn.NLLLoss."""

from collections import OrderedDict

import torch
from torch import nn, optim

LANGUAGES = ["Czech", "Dutch", "English", "Greek"]
FEATURES = 12

torch.manual_seed(0)

classifier = nn.Sequential(
    OrderedDict(
        [
            ("fc1", nn.Linear(FEATURES, 16)),
            ("relu", nn.ReLU()),
            ("fc2", nn.Linear(16, len(LANGUAGES))),
            ("output", nn.LogSoftmax(dim=1)),
        ]
    )
)

criterion = nn.NLLLoss()
optimizer = optim.SGD(classifier.parameters(), lr=0.1)

features = torch.rand(24, FEATURES)
labels = torch.randint(len(LANGUAGES), (24,))

for _ in range(3):
    order = torch.randperm(len(labels))
    for rows in order.split(8):
        optimizer.zero_grad()
        log_ps = classifier(features[rows])
        loss = criterion(log_ps, labels[rows])
        loss.backward()
        optimizer.step()

with torch.no_grad():
    classifier.eval()
    log_ps = classifier(features)
    validation = criterion(log_ps, labels)
    ps = torch.exp(log_ps)
    top_p, top_class = ps.topk(1, dim=1)
    equals = top_class == labels.view(*top_class.shape)
    print(f"loss {validation.item():.6f}")
    print(f"accuracy {equals.float().mean().item():.4f}, mean confidence {top_p.mean().item():.6f}")
