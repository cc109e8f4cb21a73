# case: monai: DiceLoss as it comes (it takes probabilities) on logits; softmax=True on a softmax
import torch
from monai.data import decollate_batch
from monai.inferers import sliding_window_inference
from monai.losses import DiceLoss
from monai.metrics import DiceMetric
from monai.networks.nets import UNet
from monai.transforms import AsDiscrete

device = torch.device("cuda:0")


def make_unet(out_channels):
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=out_channels,
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=2,
    ).to(device)


def train_spleen(loader, epochs=100):
    model = make_unet(1)
    loss_function = DiceLoss(include_background=True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    for _ in range(epochs):
        for batch in loader:
            inputs, labels = batch["image"].to(device), batch["label"].to(device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = loss_function(outputs, labels)  # expect: LH111
            loss.backward()
            optimizer.step()
    return model


def train_organs(loader, organs=14):
    model = make_unet(organs)
    loss_function = DiceLoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    for batch in loader:
        inputs, labels = batch["image"].to(device), batch["label"].to(device)
        optimizer.zero_grad()
        probs = torch.softmax(model(inputs), dim=1)
        loss = loss_function(probs, labels)  # expect: LH115
        loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def validate(model, loader, organs=14):
    metric = DiceMetric(include_background=False)
    post_pred, post_label = AsDiscrete(argmax=True, to_onehot=organs), AsDiscrete(to_onehot=organs)
    for batch in loader:
        outputs = sliding_window_inference(batch["image"].to(device), (96, 96, 96), 4, model)
        pred = [post_pred(i) for i in decollate_batch(outputs)]
        label = [post_label(i) for i in decollate_batch(batch["label"].to(device))]
        metric(y_pred=pred, y=label)
    return metric.aggregate().item()
