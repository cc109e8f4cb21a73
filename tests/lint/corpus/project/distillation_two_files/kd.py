import torch.nn.functional as F
from torch import nn


class DistillationLoss(nn.Module):
    def __init__(self, temperature=4.0, alpha=0.7):
        super().__init__()
        self.t = temperature
        self.alpha = alpha
        self.kl = nn.KLDivLoss(reduction="batchmean")

    def forward(self, student_logits, teacher_probs, labels):
        soft = self.kl(F.log_softmax(student_logits / self.t, dim=1), teacher_probs) * self.t**2
        hard = F.cross_entropy(student_logits, labels)
        mixed = F.cross_entropy(student_logits, teacher_probs)
        return self.alpha * soft + (1 - self.alpha) * hard, mixed.detach()
