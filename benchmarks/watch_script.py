"""Training steps as people write them, each under its name: `benchmarks.watch` runs this script twice.

It takes a step for each line that comes in, and answers with the seconds that took and whether a watch
followed it.
"""

import atexit
import re
import sys
import time
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def convnet():
    """MNIST: two convolutions, dropout, a batch of 64 from a loader."""
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10)),
    )
    optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
    data = TensorDataset(torch.randn(2048, 1, 28, 28), torch.randint(10, (2048,)))
    batches = endless(DataLoader(data, batch_size=64, shuffle=True))

    def step():
        x, y = next(batches)
        optimizer.zero_grad()
        output = F.log_softmax(model(x), dim=1)
        loss = F.nll_loss(output, y)
        loss.backward()
        optimizer.step()

    return step


class LanguageModel(nn.Module):
    def __init__(self, vocab, width, layers, time):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab, width), nn.Embedding(time, width)
        layer = nn.TransformerEncoderLayer(
            width, 8, 4 * width, 0.1, F.gelu, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, vocab)
        self.mask = nn.Transformer.generate_square_subsequent_mask(time)

    def forward(self, ids):
        x = self.tokens(ids) + self.places(torch.arange(ids.size(1)))
        return self.head(self.layers(x, mask=self.mask, is_causal=True))


def transformer():
    """A language model: 6 layers, width 256, 8192 tokens in the vocabulary, 8 sequences of 128."""
    model = LanguageModel(8192, 256, 6, 128)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    text = torch.randint(8192, (1 << 16,))
    criterion = nn.CrossEntropyLoss()

    def step():
        at = torch.randint(len(text) - 129, (8,))
        ids = torch.stack([text[i : i + 129] for i in at])
        logits = model(ids[:, :-1])
        loss = criterion(logits.reshape(-1, 8192), ids[:, 1:].reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def block(before, after):
    convolutions = [nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)]
    return nn.Sequential(*(part for one in convolutions for part in (one, nn.BatchNorm2d(after), nn.ReLU())))


class UNet(nn.Module):
    def __init__(self, classes, width=16):
        super().__init__()
        sizes = [width << level for level in range(4)]
        self.down = nn.ModuleList(block(*pair) for pair in zip([3, *sizes], sizes, strict=False))
        self.up = nn.ModuleList(block(3 * size, size) for size in sizes[-2::-1])
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        seen = []
        for down in self.down:
            x = down(x if not seen else F.max_pool2d(x, 2))
            seen.append(x)
        for up, beside in zip(self.up, seen[-2::-1], strict=True):
            x = up(torch.cat([F.interpolate(x, scale_factor=2), beside], dim=1))
        return self.head(x)


def segmentation():
    """A U-Net: 21 classes for each pixel of 4 images of 96 x 96, some of them ignored."""
    model = UNet(21)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, masks = torch.randn(32, 3, 96, 96), torch.randint(21, (32, 96, 96))
    masks[:, :2] = 255
    criterion = nn.CrossEntropyLoss(ignore_index=255)
    batches = endless(DataLoader(TensorDataset(images, masks), batch_size=4, shuffle=True))

    def step():
        x, y = next(batches)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def tabular():
    """The smallest steps: three layers on 20 columns, a batch of 32, and nothing else."""
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters())
    columns, labels = torch.randn(4096, 20), torch.randint(2, (4096, 1)).float()
    criterion = nn.BCEWithLogitsLoss()

    def step():
        chosen = torch.randint(4096, (32,))
        optimizer.zero_grad()
        loss = criterion(model(columns[chosen]), labels[chosen])
        loss.backward()
        optimizer.step()

    return step


def endless(loader):
    while True:
        yield from loader


SCRIPTS = {function.__name__: function for function in (convnet, transformer, segmentation, tabular)}


def followed():
    """Whether tensors are followed in the step that is to come, if anybody watches."""
    engine = sys.modules.get("likelihead.watch.engine")
    return engine is not None and engine.ENGINE.deep


def peak():
    """The MiB of resident memory at their most."""
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def main():
    torch.set_num_threads(int(sys.argv[2]))
    torch.manual_seed(0)
    step = SCRIPTS[sys.argv[1]]()
    print("ready", flush=True)
    for _ in sys.stdin:
        deep = followed()
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, int(deep), flush=True)
    print(peak(), flush=True)
    atexit.register(lambda: print(peak(), flush=True))  # and once more when the report has been written


if __name__ == "__main__":
    main()
