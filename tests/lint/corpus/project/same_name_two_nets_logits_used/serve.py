import torch
from serving import Net

net = Net()
net.load_state_dict(torch.load("net.pt"))
net.eval()
with torch.no_grad():
    probs = net(torch.randn(5, 30))
print((probs > 0.5).any(dim=1), probs.sum(dim=1))
