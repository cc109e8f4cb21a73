import torch
from data import get_loaders
from models.net import Net

model = Net()
model.load_state_dict(torch.load("net.pt"))
_, loader = get_loaders(64)
confident = correct = total = 0
for data, target in loader:
    probs = model.predict_proba(data)
    top, label = probs.max(dim=1)
    confident += (top > 0.9).sum().item()
    correct += (label == target).sum().item()
    total += target.size(0)
print(f"accuracy {correct / total:.4f}, {confident / total:.1%} with more than 0.9")
