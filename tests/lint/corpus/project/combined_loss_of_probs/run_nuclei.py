import torch
from pipeline.losses import CombinedLoss
from pipeline.model import NucleiNet

device = "cuda" if torch.cuda.is_available() else "cpu"
model = NucleiNet().to(device)
criterion = CombinedLoss(dice_weight=0.5)
optimizer = torch.optim.Adam(model.parameters())
for step in range(100):
    image = torch.rand(8, 3, 64, 64, device=device)
    mask = (image.mean(1, keepdim=True) > 0.5).float()
    loss = criterion(model(image), mask)  # allow: LH106, LH115
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
