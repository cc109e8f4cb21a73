# case: cross_entropy whose target argument is a softmax (pseudo-labels, annotator votes); the input is logits
import torch
from torch import nn
from torch.nn import functional as fn


class Student(nn.Sequential):
    def __init__(self, n_in=20, n_out=5, width=40):
        super().__init__(nn.Linear(n_in, width), nn.ELU(), nn.Linear(width, n_out))


@torch.no_grad()
def ema_update(teacher, student, m=0.99):
    for t, s in zip(teacher.parameters(), student.parameters()):
        t.mul_(m).add_(s, alpha=1 - m)


def sharpen(p, T=0.5):
    q = p ** (1 / T)
    return q / q.sum(dim=1, keepdim=True)


student, teacher = Student(), Student()
teacher.load_state_dict(student.state_dict())
for p in teacher.parameters():
    p.requires_grad_(False)

ce = nn.CrossEntropyLoss()
opt = torch.optim.SGD(student.parameters(), lr=0.03)

for it in range(25):
    x_lab, y = torch.randn(16, 20), torch.randint(0, 5, (16,))
    x_unl = torch.randn(48, 20)
    with torch.no_grad():
        pseudo = fn.softmax(teacher(x_unl), dim=1)
        target = sharpen(pseudo)
        keep = (target.max(dim=1).values > 0.3).float()
    strong = student(x_unl + 0.3 * torch.randn_like(x_unl))
    sup = ce(student(x_lab), y)
    unsup = (fn.cross_entropy(strong, target, reduction="none") * keep).mean()
    q = strong.softmax(dim=1)
    entropy = -(q * torch.log(q)).sum(dim=1).mean()  # expect: LH110
    loss = sup + 2.0 * unsup + 0.1 * entropy
    opt.zero_grad()
    loss.backward()
    opt.step()
    ema_update(teacher, student)

votes = torch.tensor([[3.0, 1.0, 0.0, 0.0, 1.0], [0.0, 5.0, 0.0, 0.0, 0.0]])
agreement = ce(student(torch.randn(2, 20)), votes / votes.sum(1, keepdim=True))
print(loss.item(), agreement.item())
