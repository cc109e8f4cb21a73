import torch
from network import build
from objective import objective

CLASSES = 7


def main(steps=1000):
    model = build(CLASSES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(steps):
        image = torch.rand(4, 3, 256, 256)
        mask = torch.randint(CLASSES, (4, 256, 256))
        loss = objective(model(image), mask)  # allow: LH111
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(step, loss.item())


if __name__ == "__main__":
    main()
