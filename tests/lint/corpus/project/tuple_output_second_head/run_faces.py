import torch
from arch import FaceNet
from multitask import MultiTaskTrainer

N_IDS, N_ATTR = 500, 40


def main(steps=200):
    net = FaceNet(N_IDS, N_ATTR)
    trainer = MultiTaskTrainer(net, torch.optim.SGD(net.parameters(), lr=0.01))
    for step in range(steps):
        faces = torch.rand(32, 3, 112, 112)
        ids = torch.randint(N_IDS, (32,))
        attributes = torch.randint(0, 2, (32, N_ATTR)).float()
        losses = trainer.train_batch(faces, ids, attributes)
        if step % 20 == 0:
            print(step, losses, trainer.rank_one(faces, ids))


if __name__ == "__main__":
    main()
