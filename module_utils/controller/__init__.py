"""What action plugins share. It runs on the controller and is part of no module."""
