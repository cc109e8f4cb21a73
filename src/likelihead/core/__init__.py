"""What every loss is made of: target domains, links, and one reduction."""
