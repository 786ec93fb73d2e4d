"""stub"""
def default_tree(track): raise NotImplementedError
