from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset


class StreetScenes(Dataset):
    def __init__(self, root):
        self.images = sorted(Path(root, "images").glob("*.png"))
        self.labels = [Path(root, "labels", p.name) for p in self.images]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image = np.asarray(Image.open(self.images[i]).convert("RGB"), dtype=np.float32) / 255
        label = np.asarray(Image.open(self.labels[i]), dtype=np.int64)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(label)
