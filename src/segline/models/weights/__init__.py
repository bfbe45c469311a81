"""Published weights of encoders: which there are, and how they become files of Segline.

`catalogue` lists them without importing Keras. `packages` and `applications` read them from where they are published.
`stored` keeps them as ``.npz`` files whose names hold a digest of the content.
"""
