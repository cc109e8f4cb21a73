import torch
from steps import train_step
from vqa import YesNo

model = YesNo()
optimizer = torch.optim.Adam(model.parameters())
for step in range(200):
    image, text = torch.randn(64, 512), torch.randn(64, 300)
    answer = torch.randint(2, (64,))
    loss = train_step(model, optimizer, image, text, answer)
    if step % 20 == 0:
        print(step, loss)
