# case: segmentation-models-pytorch; Unet without activation, Dice and Tversky with from_logits=False
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader

ENCODER = "resnet34"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def get_model():
    return smp.Unet(encoder_name=ENCODER, encoder_weights="imagenet", in_channels=3, classes=1)


def train_one_epoch(model, loader: DataLoader, dice, tversky, optimizer):
    model.train()
    for image, mask in loader:
        image, mask = image.to(DEVICE), mask.to(DEVICE).float()
        optimizer.zero_grad()
        y_hat = model(image)
        loss = 0.5 * dice(y_hat, mask)  # expect: LH111
        loss = loss + 0.5 * tversky(y_hat, mask)  # expect: LH111
        loss.backward()
        optimizer.step()


@torch.inference_mode()
def evaluate(model, loader):
    model.eval()
    stats = []
    for image, mask in loader:
        prob = model(image.to(DEVICE)).sigmoid()
        stats.append(smp.metrics.get_stats(prob.cpu(), mask.long(), mode="binary", threshold=0.5))
    tp, fp, fn, tn = (torch.cat(s) for s in zip(*stats))
    return smp.metrics.iou_score(tp, fp, fn, tn, reduction="micro")


def main(train_loader, valid_loader, epochs=40):
    model = get_model().to(DEVICE)
    dice = smp.losses.DiceLoss(mode="binary", from_logits=False)
    tversky = smp.losses.TverskyLoss(mode="binary", from_logits=False, alpha=0.3, beta=0.7)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    best = 0.0
    for epoch in range(epochs):
        train_one_epoch(model, train_loader, dice, tversky, optimizer)
        score = evaluate(model, valid_loader)
        if score > best:
            best = score
            torch.save(model.state_dict(), "best_model.pth")
        print(f"epoch {epoch}: IoU {score:.4f} (best {best:.4f})")
