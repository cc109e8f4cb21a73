import torch
from network import build
from objective import dice_of_probs, objective


def main(steps=1000):
    model = build(classes=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for step in range(steps):
        model.train()
        image = torch.rand(4, 3, 256, 256)
        mask = torch.randint(0, 2, (4, 4, 256, 256)).float()
        loss = objective(model(image), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            model.eval()
            with torch.no_grad():
                probs = torch.sigmoid(model(image))
                print(step, loss.item(), 1 - dice_of_probs(probs, mask).item())


if __name__ == "__main__":
    main()
