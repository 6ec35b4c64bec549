"""Takes requests for steps and runs each as a child: what place `docker` sends steps to."""
