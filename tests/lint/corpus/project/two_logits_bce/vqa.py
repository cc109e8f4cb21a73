import torch
from torch import nn


class YesNo(nn.Module):
    def __init__(self, d_image=512, d_text=300, n_answers=2):
        super().__init__()
        self.image = nn.Linear(d_image, 256)
        self.text = nn.Linear(d_text, 256)
        self.answer = nn.Linear(256, n_answers)

    def forward(self, image, text):
        fused = torch.relu(self.image(image)) * torch.relu(self.text(text))
        return self.answer(fused)
