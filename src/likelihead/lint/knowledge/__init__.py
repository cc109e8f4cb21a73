"""What is known of torch and of the libraries around it: a table for each of them, by dotted name."""
