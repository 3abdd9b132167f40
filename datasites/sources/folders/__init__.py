"""Folders of pictures: what lies in them, and what each level of folders stands for."""
