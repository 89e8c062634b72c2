"""Q-nets: the small networks that score documents, their representations, and their registry.

- One q-net a query; a batch of them is a :class:`~hypencli.models.qnets.batch.QNetBatch`.
- A *converter* determines which matrices and vectors the hypernetwork writes, and how they are
  evaluated. The published one is dense blocks with layer norm and residuals, and a last matrix.
- Weights are ``[q, in, out]``: rows are multiplied from the left, ``items @ matrix``. ``torch``'s
  ``nn.Linear`` stores the transpose, ``[out, in]``.
- Vectors (biases) are ``[q, out, 1]``, not ``[q, out]``: the hypernetwork writes them as matrices.
- The published converter has no parameters: all weights are written for the query.
- Layer norms have no weights of their own; the last matrix has no bias.
- Items that all queries share are a view ``[q, n, d]`` of stride 0: a copy, such
  as ``contiguous()`` makes, takes ``q`` times the memory.

A q-net with one hidden layer of 3 units over items of width 2, written by hand for one query:

>>> import torch
>>> from hypencli.models.qnets.batch import QNetBatch
>>> from hypencli.models.qnets.repeated_dense import RepeatedDenseBlockConverter
>>> converter = RepeatedDenseBlockConverter([2, 3, 1], do_residual=False, do_layer_norm=False)
>>> converter.weight_shapes, converter.bias_shapes
([(2, 3), (3, 1)], [(3, 1)])
>>> q_nets = QNetBatch(
...     matrices=(
...         torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]]]),  # [q=1, in=2, out=3]
...         torch.tensor([[[1.0], [1.0], [2.0]]]),  # [q=1, in=3, out=1]
...     ),
...     vectors=(torch.tensor([[[0.0], [0.0], [-1.0]]]),),  # [q=1, out=3, 1]
...     converter=converter,
... )
>>> documents = torch.tensor([[3.0, 1.0], [1.0, 3.0]])  # [n=2, d=2]
>>> q_nets.score(documents)  # relu([3, 1, 3 - 1 - 1]) @ [1, 1, 2], and of [1, 3, 1 - 3 - 1]
tensor([[6., 4.]])
>>> q_nets[0].score(documents[:1]).shape  # [q=1, n=1]
torch.Size([1, 1])
"""
