"""Pictures that come as arrays of an .npz file: ours, or as MedMNIST writes them. Nothing is unpickled."""
