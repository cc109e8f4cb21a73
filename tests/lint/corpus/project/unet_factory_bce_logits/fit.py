import torch
from seg.losses import make_loss
from seg.unet import UNet
from torch.utils.data import DataLoader, TensorDataset


def iou(pred, mask):
    inter = (pred & mask).sum().item()
    return inter / max(1, (pred | mask).sum().item())


def main():
    images = torch.rand(64, 3, 64, 64)
    masks = (images.mean(1, keepdim=True) > 0.5).float()
    loader = DataLoader(TensorDataset(images, masks), batch_size=8, shuffle=True)
    model = UNet()
    loss_fn = make_loss("bce_logits")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(5):
        model.train()
        for x, y in loader:
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            print(epoch, loss.item(), iou(model.predict(images[:8]), masks[:8].bool()))


if __name__ == "__main__":
    main()
