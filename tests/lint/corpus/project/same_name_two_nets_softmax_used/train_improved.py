import torch
from improved import Net
from torch import nn

net = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
for _ in range(500):
    x, y = torch.randn(64, 30), torch.randint(4, (64,))
    loss = criterion(net(x), y)  # expect: LH101
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
torch.save(net.state_dict(), "improved.pt")
