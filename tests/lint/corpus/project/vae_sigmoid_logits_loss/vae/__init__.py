from .losses import beta_loss, elbo_loss
from .nets import VAE

__all__ = ["VAE", "beta_loss", "elbo_loss"]
