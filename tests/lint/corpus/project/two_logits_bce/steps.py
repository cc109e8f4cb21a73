import torch.nn.functional as F


def train_step(model, optimizer, image, text, answer):
    target = F.one_hot(answer, num_classes=2).float()
    logits = model(image, text)
    loss = F.binary_cross_entropy_with_logits(logits, target)  # expect: LH303
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()
