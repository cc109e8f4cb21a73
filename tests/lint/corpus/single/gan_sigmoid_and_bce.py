# case: the first GAN of many tutorials; sigmoid and BCELoss fit each other, only the precision is lost
import torch
import torch.nn as nn

latent_size, hidden_size, image_size, batch_size = 16, 64, 784, 25

D = nn.Sequential(
    nn.Linear(image_size, hidden_size),
    nn.LeakyReLU(0.2),
    nn.Linear(hidden_size, hidden_size),
    nn.LeakyReLU(0.2),
    nn.Linear(hidden_size, 1),
    nn.Sigmoid(),
)
G = nn.Sequential(
    nn.Linear(latent_size, hidden_size),
    nn.ReLU(),
    nn.Linear(hidden_size, hidden_size),
    nn.ReLU(),
    nn.Linear(hidden_size, image_size),
    nn.Tanh(),
)
criterion = nn.BCELoss()
d_optimizer = torch.optim.Adam(D.parameters(), lr=0.0002)
g_optimizer = torch.optim.Adam(G.parameters(), lr=0.0002)


def denorm(x):
    out = (x + 1) / 2
    return out.clamp(0, 1)


def reset_grad():
    d_optimizer.zero_grad()
    g_optimizer.zero_grad()


for i in range(5):
    images = torch.rand(batch_size, image_size) * 2 - 1
    real_labels = torch.ones(batch_size, 1)
    fake_labels = torch.zeros(batch_size, 1)

    outputs = D(images)
    d_loss_real = criterion(outputs, real_labels)  # expect: LH109
    real_score = outputs

    z = torch.randn(batch_size, latent_size)
    fake_images = G(z)
    outputs = D(fake_images)
    d_loss_fake = criterion(outputs, fake_labels)  # expect: LH109
    fake_score = outputs

    d_loss = d_loss_real + d_loss_fake
    reset_grad()
    d_loss.backward()
    d_optimizer.step()

    z = torch.randn(batch_size, latent_size)
    fake_images = G(z)
    outputs = D(fake_images)
    g_loss = criterion(outputs, real_labels)  # expect: LH109
    reset_grad()
    g_loss.backward()
    g_optimizer.step()

    print(
        "Step {}, d_loss: {:.4f}, g_loss: {:.4f}, D(x): {:.2f}, D(G(z)): {:.2f}".format(
            i, d_loss.item(), g_loss.item(), real_score.mean().item(), fake_score.mean().item()
        )
    )
print(
    "fooled:",
    (D(G(torch.randn(50, latent_size))) > 0.5).float().mean().item(),
    denorm(fake_images).max().item(),
)
