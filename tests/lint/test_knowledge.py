"""What the linter knows of the libraries around torch: a small program for each convention."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from lint.expectations import outcome

NET = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self, last=None):
        super().__init__()
        self.fc = nn.Linear(8, 3)
    def forward(self, x):
        return self.fc(x)

class Probs(Net):
    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)

class LogProbs(Net):
    def forward(self, x):
        return F.log_softmax(self.fc(x), dim=1)

class Sigmoid(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 1)
    def forward(self, x):
        return torch.sigmoid(self.fc(x))
"""

TORCHVISION = {
    "logits into NLLLoss": """
        import torch.nn as nn
        from torchvision.models import resnet18
        model = resnet18(num_classes=5)
        nn.NLLLoss()(model(x), y)  # expect: LH105
        nn.CrossEntropyLoss()(model(x), y)
    """,
    "a head with a softmax": """
        import torch.nn as nn
        from torchvision import models
        model = models.resnet50(weights=None)
        model.fc = nn.Sequential(nn.Linear(2048, 10), nn.Softmax(dim=1))
        nn.CrossEntropyLoss()(model(x), y)  # expect: LH101
    """,
    "a head with a log-softmax": """
        import torch.nn as nn
        from torchvision import models
        model = models.densenet121()
        model.classifier = nn.Sequential(nn.Linear(1024, 10), nn.LogSoftmax(dim=1))
        nn.NLLLoss()(model(x), y)
    """,
    "an entry of the classifier": """
        import torch.nn as nn
        from torchvision import models
        model = models.vgg16()
        model.classifier[6] = nn.Sequential(nn.Linear(4096, 2), nn.Sigmoid())
        nn.BCEWithLogitsLoss()(model(x), y)  # expect: LH106
        alex = models.alexnet()
        alex.classifier[6] = nn.Linear(4096, 1)
        nn.BCELoss()(alex(x), y)  # expect: LH108
    """,
    "a head in a head": """
        import torch.nn as nn
        from torchvision import models
        model = models.vit_b_16()
        model.heads.head = nn.Sequential(nn.Linear(768, 3), nn.Softmax(dim=-1))
        nn.CrossEntropyLoss()(model(x), y)  # expect: LH101
    """,
    "the old head in the new": """
        import torch.nn as nn
        from torchvision.models import resnet18
        model = resnet18()
        model.fc = nn.Sequential(model.fc, nn.Softmax(dim=1))
        nn.CrossEntropyLoss()(model(x), y)  # expect: LH101
    """,
    "features": """
        import torch.nn as nn
        from torchvision.models import resnet18
        model = resnet18()
        model.fc = nn.Identity()
        nn.BCELoss()(model(x), y)
        other = resnet18()
        other.fc = make_head()
        nn.BCELoss()(other(x), y)
    """,
    "a first layer changes nothing": """
        import torch.nn as nn
        from torchvision.models import resnet18
        model = resnet18(num_classes=1)
        model.conv1 = nn.Conv2d(1, 64, 7)
        nn.BCELoss()(model(x), y)  # expect: LH108
    """,
    "segmentation": """
        import torch.nn as nn
        from torchvision.models.segmentation import deeplabv3_resnet50
        model = deeplabv3_resnet50(num_classes=4)
        nn.NLLLoss()(model(x)["out"], y)  # expect: LH105
        nn.CrossEntropyLoss()(model(x)["out"].softmax(dim=1), y)  # expect: LH101
        nn.CrossEntropyLoss()(model(x)["out"], y)
    """,
    "two outputs while training": """
        import torch.nn as nn
        from torchvision.models import inception_v3
        model = inception_v3(num_classes=3)
        out, aux = model(x)
        nn.NLLLoss()(out, y)  # expect: LH105
        nn.CrossEntropyLoss()(out, y) + 0.4 * nn.CrossEntropyLoss()(aux, y)
    """,
    "a network in a Sequential": """
        import torch.nn as nn
        from efficientnet_pytorch import EfficientNet
        from torchvision.models import resnet18
        model = nn.DataParallel(nn.Sequential(resnet18(), nn.Softmax(dim=1)))
        nn.CrossEntropyLoss()(model(x), y)  # expect: LH101
        nn.CrossEntropyLoss()(model.module(x), y)  # expect: LH101
        other = EfficientNet.from_pretrained("efficientnet-b0", num_classes=2)
        nn.NLLLoss()(other(x), y)  # expect: LH105
        other._fc = nn.Sequential(nn.Linear(1280, 2), nn.LogSoftmax(dim=1))
        nn.NLLLoss()(other(x), y)
    """,
    "focal loss": """
        import torch
        from torchvision.ops import sigmoid_focal_loss
        from torchvision.ops.focal_loss import sigmoid_focal_loss as focal
        layer = torch.nn.Linear(4, 1)
        sigmoid_focal_loss(torch.sigmoid(layer(x)), y, reduction="mean")  # expect: LH106
        focal(inputs=layer(x), targets=y, reduction="mean")
    """,
}

TIMM = {
    "logits": """
        import timm, torch
        model = timm.create_model("resnet18", pretrained=True, num_classes=10)
        torch.nn.NLLLoss()(model(x), y)  # expect: LH105
        torch.nn.CrossEntropyLoss()(model(x), y)
    """,
    "features": """
        import timm, torch
        model = timm.create_model("resnet18", num_classes=0)
        torch.nn.BCELoss()(model(x), y)
        maps = timm.create_model("resnet18", features_only=True)
        torch.nn.BCELoss()(maps(x), y)
        reset = timm.create_model("resnet18")
        reset.reset_classifier(0)
        torch.nn.BCELoss()(reset(x), y)
    """,
    "a reset classifier": """
        import timm, torch
        model = timm.create_model("resnet18", num_classes=0)
        other = timm.create_model("resnet18")
        other.reset_classifier(2)
        torch.nn.NLLLoss()(other(x), y)  # expect: LH105
    """,
    "losses": """
        import timm, torch
        from timm.loss import LabelSmoothingCrossEntropy, BinaryCrossEntropy, AsymmetricLossMultiLabel
        from timm.loss.cross_entropy import SoftTargetCrossEntropy
        model = timm.create_model("resnet18", num_classes=10)
        out = model(x)
        LabelSmoothingCrossEntropy(0.1)(out.softmax(dim=1), y)  # expect: LH101
        SoftTargetCrossEntropy()(out.softmax(dim=-1), y)  # expect: LH101
        BinaryCrossEntropy()(out.sigmoid(), y)  # expect: LH106
        AsymmetricLossMultiLabel()(out.sigmoid(), y)  # expect: LH106
        LabelSmoothingCrossEntropy(0.1)(out, y)
        BinaryCrossEntropy()(out, y)
    """,
}

GRAPHS = {
    "PyTorch Geometric and DGL": """
        import dgl.nn, torch.nn.functional as F
        from torch_geometric.nn import GCNConv, SAGEConv
        from torch_geometric.nn.conv import GATConv
        F.nll_loss(GCNConv(16, 7)(x, edges), y)  # expect: LH105
        F.nll_loss(GATConv(16, 7, heads=1, concat=False)(x, edges), y)  # expect: LH105
        F.nll_loss(dgl.nn.GraphConv(16, 7)(graph, x), y)  # expect: LH105
        F.nll_loss(dgl.nn.GraphConv(16, 7, activation=F.log_softmax)(graph, x), y)
        F.nll_loss(SAGEConv(16, 7, normalize=True)(x, edges), y)
        F.nll_loss(F.log_softmax(GCNConv(16, 7)(x, edges), dim=1), y)
    """,
}

SEGMENTATION = {
    "smp: the activation of the model": """
        import segmentation_models_pytorch as smp
        import torch
        unet = smp.Unet("resnet34", classes=1, activation="sigmoid")
        torch.nn.BCEWithLogitsLoss()(unet(x), y)  # expect: LH106
        smp.losses.SoftBCEWithLogitsLoss()(unet(x), y)  # expect: LH106
        smp.losses.DiceLoss("binary")(unet(x), y)  # expect: LH115
        smp.losses.DiceLoss("binary", from_logits=False)(unet(x), y)
        soft = smp.FPN("resnet34", classes=3, activation="softmax2d")
        smp.losses.SoftCrossEntropyLoss()(soft(x), y)  # expect: LH101
        smp.losses.FocalLoss("multiclass")(soft(x), y)  # expect: LH107
        unknown = smp.Unet("resnet34", activation=choose())
        torch.nn.BCEWithLogitsLoss()(unknown(x), y)
    """,
    "smp: no activation": """
        import segmentation_models_pytorch as smp
        from segmentation_models_pytorch.losses.tversky import TverskyLoss
        model = smp.create_model("unet", classes=1)
        smp.losses.DiceLoss("binary", from_logits=False)(model(x), y)  # expect: LH111
        TverskyLoss(mode="binary", from_logits=False)(y_pred=model(x), y_true=y)  # expect: LH111
        smp.losses.JaccardLoss("binary")(model(x), y)
        smp.utils.losses.DiceLoss()(model(x), y)  # expect: LH111
        smp.utils.losses.DiceLoss(activation="sigmoid")(model(x), y)
        smp.losses.DiceLoss("binary", from_logits=flag)(model(x), y)
        smp.utils.train.TrainEpoch(model, loss=smp.utils.losses.DiceLoss(), metrics=[])  # expect: LH111
        smp.utils.train.TrainEpoch(model, smp.losses.DiceLoss("binary"), [])
    """,
    "monai": """
        import torch
        from monai.losses import DiceLoss, DiceCELoss, FocalLoss, GeneralizedDiceLoss
        from monai.networks.nets import UNet
        net = UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,))
        out = net(x)
        DiceLoss()(out, y)  # expect: LH111
        GeneralizedDiceLoss(sigmoid=True)(torch.sigmoid(out), y)  # expect: LH115
        FocalLoss()(torch.sigmoid(out), y)  # expect: LH106
        DiceLoss(sigmoid=True)(out, y)
        DiceCELoss(softmax=True)(out, y)
        DiceLoss()(torch.softmax(out, dim=1), y)
        DiceLoss(other_act=act)(out, y)
    """,
    "kornia": """
        import torch, kornia
        from kornia.losses import DiceLoss, dice_loss
        layer = torch.nn.Conv2d(3, 4, 1)
        DiceLoss()(layer(x).softmax(dim=1), y)  # expect: LH115
        kornia.losses.focal_loss(layer(x).softmax(dim=1), y, alpha=0.5)  # expect: LH101
        kornia.losses.focal.BinaryFocalLossWithLogits(0.5)(layer(x).sigmoid(), y)  # expect: LH106
        dice_loss(layer(x), y)
    """,
}

TRANSFORMERS = {
    "fields": """
        import torch
        from transformers import AutoModelForSequenceClassification, BertForTokenClassification
        model = AutoModelForSequenceClassification.from_pretrained("x", num_labels=3)
        out = model(input_ids=x)
        torch.nn.NLLLoss()(out.logits, y)  # expect: LH105
        torch.nn.NLLLoss()(out["logits"], y)  # expect: LH105
        torch.nn.NLLLoss()(out[0], y)  # expect: LH105
        torch.nn.NLLLoss()(out.get("logits"), y)  # expect: LH105
        torch.nn.CrossEntropyLoss()(out.logits, y)
        torch.nn.CrossEntropyLoss()(out.logits.softmax(dim=-1), y)  # expect: LH101
        tagger = BertForTokenClassification.from_pretrained("x", num_labels=5)
        torch.nn.NLLLoss()(tagger(x).logits.view(-1, 5), y.view(-1))  # expect: LH105
    """,
    "the loss stands in front": """
        import torch
        from transformers import AutoModelForSequenceClassification
        model = AutoModelForSequenceClassification.from_pretrained("x")
        loss, logits = model(x, labels=y)[:2]
        torch.nn.NLLLoss()(logits, y)  # expect: LH105
        torch.nn.NLLLoss()(model(x, labels=y)[1], y)  # expect: LH105
        torch.nn.NLLLoss()(model(x, labels=y)[0], y)
        torch.nn.NLLLoss()(model(**batch)[0], y)
    """,
    "hidden states are none": """
        import torch
        from transformers import AutoModel
        model = AutoModel.from_pretrained("x")
        torch.nn.NLLLoss()(model(x)[0], y)
    """,
    "a trainer hands over its model": NET
    + """
from transformers import Trainer
class Mine(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        return F.cross_entropy(model(inputs["x"]), inputs["labels"])  # expect: LH101
Mine(model=Probs(), args=None).train()
    """,
    "its model gives logits": NET
    + """
from transformers import Trainer
class Mine(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        return F.cross_entropy(model(inputs["x"]), inputs["labels"])
Mine(Net()).train()
    """,
    "its model is made by a function": NET
    + """
from transformers import AutoModelForSequenceClassification, Trainer
class Mine(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        return nn.BCELoss()(outputs.logits, labels)  # expect: LH108
def make():
    return AutoModelForSequenceClassification.from_pretrained("x", num_labels=2)
Mine(model_init=make, args=None).train()
    """,
    "a function for the loss": NET
    + """
from transformers import Trainer
def loss(outputs, labels, num_items_in_batch=None):
    return F.cross_entropy(outputs, labels)  # expect: LH101
Trainer(model=Probs(), compute_loss_func=loss)
    """,
    "a head": """
        import torch
        from torch import nn
        from transformers import AutoModelForSequenceClassification
        model = AutoModelForSequenceClassification.from_pretrained("x")
        model.classifier = nn.Sequential(nn.Linear(768, 2), nn.Softmax(dim=-1))
        nn.CrossEntropyLoss()(model(x).logits, y)  # expect: LH101
    """,
    "a class of the project": """
        import torch
        from torch import nn
        from transformers import BertPreTrainedModel
        class Tagger(BertPreTrainedModel):
            def __init__(self, config):
                super().__init__(config)
                self.classifier = nn.Linear(8, 2)
            def forward(self, x):
                return self.classifier(self.bert(x)[0])
        model = Tagger.from_pretrained("x")
        nn.NLLLoss()(model(x), y)  # expect: LH105
    """,
}

TRAINERS = {
    "skorch": NET
    + """
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetBinaryClassifier
NeuralNetClassifier(Probs, max_epochs=3)
NeuralNetClassifier(Probs, criterion=nn.NLLLoss)
NeuralNetClassifier(Probs(), criterion=nn.NLLLoss())
NeuralNetClassifier(LogProbs)  # expect: LH104
NeuralNetClassifier(Net, module__last=3)  # expect: LH105
NeuralNetClassifier(Net, criterion=nn.CrossEntropyLoss)
NeuralNetClassifier(Probs, criterion=nn.CrossEntropyLoss)  # expect: LH101
NeuralNetClassifier(Probs, nn.CrossEntropyLoss(), lr=0.1)  # expect: LH101
NeuralNetBinaryClassifier(Sigmoid)  # expect: LH106
NeuralNetBinaryClassifier(Sigmoid, criterion=nn.BCELoss)  # expect: LH109
NeuralNet(Probs, nn.NLLLoss)  # expect: LH104
NeuralNet(LogProbs, criterion=nn.NLLLoss)
NeuralNetClassifier(choose(), criterion=nn.CrossEntropyLoss)
NeuralNetClassifier(Probs, criterion=choose())
    """,
    "fastai": NET
    + """
from fastai.vision.all import *
Learner(dls, Probs(), loss_func=CrossEntropyLossFlat())  # expect: LH101
Learner(dls, Net(), loss_func=CrossEntropyLossFlat())
Learner(dls, Sigmoid(), loss_func=BCEWithLogitsLossFlat())  # expect: LH106
Learner(dls, Sigmoid(), loss_func=BCELossFlat())  # expect: LH109
Learner(dls, Net(), loss_func=nn.NLLLoss())  # expect: LH105
Learner(dls, Probs(), metrics=accuracy)
vision_learner(dls, resnet18, loss_func=nn.NLLLoss())  # expect: LH105
vision_learner(dls, resnet18, loss_func=LabelSmoothingCrossEntropyFlat())
    """,
    "fastai by name": NET
    + """
from fastai.learner import Learner
from fastai.losses import FocalLossFlat
Learner(dls, Probs(), loss_func=FocalLossFlat())  # expect: LH101
    """,
    "poutyne and ignite": NET
    + """
from poutyne import Model
from ignite.engine import create_supervised_trainer
Model(Probs(), "sgd", "cross_entropy")  # expect: LH101
Model(Net(), "sgd", "cross_entropy")
Model(Net(), "sgd", nn.NLLLoss())  # expect: LH105
create_supervised_trainer(Probs(), optimizer, nn.CrossEntropyLoss())  # expect: LH101
create_supervised_trainer(LogProbs(), optimizer, F.nll_loss)
create_supervised_trainer(Probs(), optimizer, nn.CrossEntropyLoss(), model_transform=torch.logit)
    """,
    "catalyst and composer": NET
    + """
from catalyst import dl
from composer.models import ComposerClassifier
dl.SupervisedRunner().train(model=Probs(), criterion=nn.CrossEntropyLoss(), loaders=loaders)  # expect: LH101
dl.SupervisedRunner().train(model=Net(), criterion=nn.CrossEntropyLoss(), loaders=loaders)
class Mine(dl.SupervisedRunner):
    def handle_batch(self, batch):
        pass
Mine().train(model=Probs(), criterion=nn.CrossEntropyLoss(), loaders=loaders)
ComposerClassifier(Probs(), num_classes=3)  # expect: LH101
ComposerClassifier(Net(), num_classes=3)
    """,
    "accelerate, fabric, deepspeed": NET
    + """
import deepspeed
from accelerate import Accelerator
from lightning.fabric import Fabric
accelerator = Accelerator()
model, optimizer = accelerator.prepare(Probs(), optimizer)
F.cross_entropy(model(x), y)  # expect: LH101
F.cross_entropy(accelerator.unwrap_model(model)(x), y)  # expect: LH101
plain = accelerator.prepare(Net())
F.cross_entropy(plain(x), y)
fabric = Fabric()
one, other = fabric.setup(Probs(), optimizer)
F.cross_entropy(one(x), y)  # expect: LH101
engine, _, _, _ = deepspeed.initialize(args=args, model=Probs())
F.cross_entropy(engine(x), y)  # expect: LH101
F.cross_entropy(torch.compile(nn.parallel.DistributedDataParallel(Probs())).module(x), y)  # expect: LH101
    """,
    "lightning": NET
    + """
import lightning as L
class Lit(L.LightningModule):
    def __init__(self, net=None):
        super().__init__()
        self.save_hyperparameters()
        self.net = Probs()
        self.loss = nn.CrossEntropyLoss()
    def forward(self, x):
        return self.net(x)
    def training_step(self, batch, i):
        x, y = batch
        return self.loss(self(x), y)  # expect: LH101
Lit.load_from_checkpoint("last.ckpt")
    """,
}

KERAS = {
    "by string": """
        import keras
        from keras import layers
        def model(last):
            return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation=last)])
        model("softmax").compile("adam", loss="sparse_categorical_crossentropy")
        model(None).compile("adam", loss="categorical_crossentropy")  # expect: LH105
        model("log_softmax").compile("adam", loss="categorical_crossentropy")  # expect: LH104
        model("sigmoid").compile("adam", "binary_crossentropy")
        model(None).compile(optimizer="adam", loss="binary_crossentropy")  # expect: LH108
        model(None).compile(loss=["binary_crossentropy"])  # expect: LH108
        model("relu").compile("adam", loss="binary_crossentropy")
        model(choose()).compile("adam", loss="binary_crossentropy")
        model(None).compile("adam", loss="mse")
    """,
    "objects": """
        import keras
        from keras.layers import Dense, Dropout, Activation
        from keras.losses import BinaryCrossentropy
        net = keras.models.Sequential()
        net.add(Dense(8, activation="relu"))
        net.add(Dense(1))
        net.compile("adam", loss=BinaryCrossentropy(from_logits=True))
        labels = net.predict(x) > 0.5  # expect: LH113
        net.compile("adam", loss=BinaryCrossentropy())  # expect: LH108
        net.add(Activation("sigmoid"))
        net.compile("adam", loss=BinaryCrossentropy(from_logits=True))  # expect: LH106
        net.compile("adam", loss=BinaryCrossentropy(from_logits=flag))
    """,
    "functional": """
        import keras
        inputs = keras.Input((8,))
        hidden = keras.layers.Dense(8, "relu")(inputs)
        outputs = keras.layers.Dense(3)(keras.layers.Dropout(0.1)(hidden))
        model = keras.Model(inputs, outputs)
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.compile(loss=keras.losses.sparse_categorical_crossentropy)  # expect: LH105
        probs = keras.Model(inputs, keras.layers.Softmax()(outputs))
        probs.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))  # expect: LH101
        probs.compile(loss=keras.losses.CategoricalCrossentropy())
    """,
    "subclass": """
        import keras
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.out = keras.layers.Dense(3)
            def call(self, x):
                return self.out(x)
        net = Net()
        net.compile("adam", "sparse_categorical_crossentropy")  # expect: LH105
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        loss(y, net(x))
        loss(y, keras.ops.softmax(net(x)))  # expect: LH101
        keras.losses.sparse_categorical_crossentropy(y, net(x))  # expect: LH105
        keras.losses.sparse_categorical_crossentropy(y, net(x), from_logits=True)
    """,
    "TensorFlow undoes the softmax": """
        from tensorflow import keras
        from tensorflow.keras.layers import Dense
        model = keras.Sequential([Dense(3, activation="softmax")])
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        plain = keras.Sequential([Dense(3)])
        plain.compile(loss="sparse_categorical_crossentropy")  # expect: LH105
    """,
    "applications": """
        import keras
        net = keras.applications.ResNet50(weights=None, classes=10)
        net.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))  # expect: LH101
        net.compile(loss="categorical_crossentropy")
        raw = keras.applications.ResNet50(classes=10, classifier_activation=None)
        raw.compile(loss="categorical_crossentropy")  # expect: LH105
    """,
}

OWN = {
    "likelihoods": """
        import torch, likelihead
        layer = torch.nn.Linear(4, 3)
        likelihood = likelihead.Categorical(3)
        likelihood(layer(x), y)
        likelihood(torch.softmax(layer(x), dim=1), y)  # expect: LH101
        likelihead.Bernoulli()(torch.sigmoid(layer(x)), y)  # expect: LH106
        likelihead.functional.nll_loss(likelihood.probs(layer(x)), y)  # expect: LH104
        likelihead.functional.nll_loss(likelihood.log_probs(layer(x)), y)
        likelihead.nn.FocalLoss()(torch.softmax(layer(x), dim=1), y)  # expect: LH101
    """,
    "torchmetrics takes both": """
        import torch, torchmetrics
        layer = torch.nn.Linear(4, 3)
        metric = torchmetrics.classification.MulticlassAccuracy(3)
        metric(layer(x), y), metric(layer(x).softmax(dim=1), y)
    """,
    "a script's network": NET.replace("class LogProbs(Net)", "class _Unused(Net)")
    + """
def train(model, loader):
    criterion = nn.CrossEntropyLoss()
    for x, y in loader:
        criterion(model(x), y)
    """,
    "the only network": """
        import torch
        from torch import nn
        class Classifier(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(8, 3)
            def forward(self, x):
                return torch.softmax(self.fc(x), dim=1)
        def train(model, loader):
            criterion = nn.CrossEntropyLoss()
            for x, y in loader:
                criterion(model(x), y)  # expect: LH101
    """,
    "no network but a part": """
        import torch
        from torch import nn
        class Attention(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(8, 3)
            def forward(self, x):
                return torch.softmax(self.fc(x), dim=1)
        def train(model, loader):
            criterion = nn.CrossEntropyLoss()
            for x, y in loader:
                criterion(model(x), y)
    """,
}

PROGRAMS = {
    f"{library}: {name}": text
    for library, programs in (
        ("torchvision", TORCHVISION),
        ("timm", TIMM),
        ("segmentation", SEGMENTATION),
        ("graphs", GRAPHS),
        ("transformers", TRANSFORMERS),
        ("trainers", TRAINERS),
        ("keras", KERAS),
        ("own", OWN),
    )
    for name, text in programs.items()
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_convention(name: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAMS[name]))
    result = outcome(program)
    assert sorted(result.found) == sorted(result.expected)
