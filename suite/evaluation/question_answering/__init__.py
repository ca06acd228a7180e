"""Answers to questions about videos, from frozen clip features (vcop-curriculum Sec. IV-D, Table VI).

Shapes: Q questions in a set, B in a batch, L words (the longest question's), C clips of a video (20), D of a feature
(512), E of a word (300), H of the LSTM's state (300), J of the space that question and clips meet in (256), A answers.

The model is extended soft attention, E-SA (Xu et al., ACM Multimedia 2017), as its authors coded it: an LSTM reads the
question, its last cell state is compared with every clip, and the product of question and attended video names one of
the most frequent training answers.
"""
