import torch
from losses import BCEDiceLoss
from vessel_net import VesselNet


def main(epochs=10):
    model = VesselNet()
    criterion = BCEDiceLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for _ in range(20):
            image = torch.rand(8, 1, 48, 48)
            mask = (image > 0.8).float()
            output = model(image)
            loss = criterion(output, mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        predicted = torch.sigmoid(output) > 0.5
        print(epoch, loss.item(), (predicted == mask.bool()).float().mean().item())


if __name__ == "__main__":
    main()
