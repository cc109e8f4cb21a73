import torch
from criterion import CELoss
from segnet import SegNet
from street import StreetScenes
from torch.utils.data import DataLoader

NUM_CLASSES = 19
VOID = 255


def main(root="data/street", epochs=40):
    loader = DataLoader(StreetScenes(root), batch_size=4, shuffle=True, num_workers=4)
    model = SegNet(NUM_CLASSES).cuda()
    criterion = CELoss(weight=0.5, ignore_index=VOID).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    for epoch in range(epochs):
        for i, (image, label) in enumerate(loader):
            image = image.cuda(non_blocking=True)
            label = label.cuda(non_blocking=True)
            pred = model(image)
            loss = criterion(pred, label)  # allow: LH101
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if i % 100 == 0:
                print(epoch, i, loss.item())
        torch.save(model.state_dict(), f"segnet_{epoch}.pth")


if __name__ == "__main__":
    main()
