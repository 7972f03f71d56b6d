"""Parts that necks and heads are made of; none is registered."""
