# case: the served Sequential ends in Softmax, training goes through model[:-1] and a popped list
import torch
from torch import nn

layers = [
    nn.Linear(30, 60),
    nn.BatchNorm1d(60),
    nn.ReLU(),
    nn.Linear(60, 5),
    nn.Softmax(dim=1),
]
model = nn.Sequential(*layers)
logits_of = model[:-1]

lossf = nn.CrossEntropyLoss(reduction="none")
opt = torch.optim.RMSprop(model.parameters(), lr=1e-3)

for step in range(20):
    x = torch.randn(64, 30)
    y = torch.randint(0, 5, (64,))
    per_example = lossf(logits_of(x), y)
    hard = per_example.topk(32).values.mean()  # online hard example mining
    opt.zero_grad()
    hard.backward()
    opt.step()

model.eval()
with torch.no_grad():
    x = torch.randn(3, 30)
    probs = model(x)
    print(probs.sum(1), (probs > 0.5).any(1).tolist())

layers.pop()
again = nn.Sequential(*layers).train()
print("same weights, logits:", lossf(again(torch.randn(8, 30)), torch.randint(0, 5, (8,))).mean().item())
