import torch
from project.mlp import SurnameClassifier
from train_surnames import SIZES

model = SurnameClassifier(*SIZES, apply_softmax=True)
model.load_state_dict(torch.load("surnames.pt"))
model.eval()
example = torch.zeros(1, SIZES[0])
probabilities = model(example)
print(probabilities.topk(3))
torch.jit.trace(model, example).save("surnames.ts")
