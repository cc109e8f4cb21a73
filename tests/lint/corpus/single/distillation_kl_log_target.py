# case: knowledge distillation; KL of two log-softmaxes with log_target=True, and with probabilities
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F


def mlp(*widths):
    mods = []
    for a, b in zip(widths[:-1], widths[1:]):
        mods.extend((nn.Linear(a, b), nn.ReLU()))
    return nn.Sequential(*mods[:-1])


class DistillKL(nn.Module):
    def __init__(self, T):
        super(DistillKL, self).__init__()
        self.T = T

    def forward(self, y_s, y_t):
        p_s = F.log_softmax(y_s / self.T, dim=1)
        p_t = F.softmax(y_t / self.T, dim=1)
        return F.kl_div(p_s, p_t, reduction="sum") * (self.T**2) / y_s.shape[0]


class DistillKLLog(nn.KLDivLoss):
    def __init__(self, T):
        super().__init__(reduction="batchmean", log_target=True)
        self.T = T

    def forward(self, y_s, y_t):
        s, t = F.log_softmax(y_s / self.T, 1), F.log_softmax(y_t / self.T, 1)
        return super().forward(s, t) * self.T**2


def main(opt):
    teacher, student = mlp(10, 128, 128, 6).eval(), mlp(10, 16, 6)
    criterion_cls = nn.CrossEntropyLoss()
    criterion_div = DistillKLLog(opt.kd_T) if opt.log_target else DistillKL(opt.kd_T)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05)
    for idx in range(20):
        input, target = torch.randn(32, 10), torch.randint(0, 6, (32,))
        logit_s = student(input)
        with torch.no_grad():
            logit_t = teacher(input)
        loss = opt.gamma * criterion_cls(logit_s, target) + opt.alpha * criterion_div(logit_s, logit_t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(loss.item())


if __name__ == "__main__":
    parser = argparse.ArgumentParser("distil")
    parser.add_argument("--kd_T", type=float, default=4)
    parser.add_argument("-r", "--gamma", type=float, default=0.1)
    parser.add_argument("-a", "--alpha", type=float, default=0.9)
    parser.add_argument("--log-target", action="store_true")
    main(parser.parse_args())
