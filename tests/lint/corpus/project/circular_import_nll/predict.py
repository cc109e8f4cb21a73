import torch
from app.model import PointNet

net = PointNet().eval()
with torch.no_grad():
    probs = net(torch.randn(2, 128, 3)).exp()
print(probs.sum(dim=1))
