"""What names mean where a snippet leaves out its imports: of modules, and of classes that only torch has."""

from __future__ import annotations

__all__ = ["CUSTOMARY"]

_LAYERS = (
    "CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MSELoss", "KLDivLoss", "LogSoftmax",
    "Softmax", "Sigmoid", "Linear", "Conv1d", "Conv2d", "ConvTranspose2d", "BatchNorm1d", "BatchNorm2d",
    "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "ReLU", "LeakyReLU", "Tanh", "Dropout", "Dropout2d",
    "Flatten", "Sequential", "ModuleList", "Module",
)  # fmt: skip

CUSTOMARY = {
    "torch": "torch",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "keras": "keras",
    "tf": "tensorflow",
    "np": "numpy",
    "math": "math",
    "pl": "pytorch_lightning",
    "LightningModule": "pytorch_lightning.LightningModule",
    "optim": "torch.optim",
    "torchvision": "torchvision",
    "models": "torchvision.models",
    "timm": "timm",
    "smp": "segmentation_models_pytorch",
    "NeuralNetClassifier": "skorch.NeuralNetClassifier",
    "DataLoader": "torch.utils.data.DataLoader",
    "Dataset": "torch.utils.data.Dataset",
    "TensorDataset": "torch.utils.data.TensorDataset",
    "Variable": "torch.autograd.Variable",
    "tqdm": "tqdm.tqdm",
    "partial": "functools.partial",
    "OrderedDict": "collections.OrderedDict",
    "softmax": "torch.nn.functional.softmax",
    "log_softmax": "torch.nn.functional.log_softmax",
    **{name: f"torch.nn.{name}" for name in _LAYERS},
}
