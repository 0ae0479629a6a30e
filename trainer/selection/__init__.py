"""What a training decides by held-out tickets: settings, a threshold, whether a version is better."""
