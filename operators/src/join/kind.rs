//! What is told of records of two streams that belong together: `Inner`, `Left`, `Right`, `Outer`.

/// What there is of two sides: never nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EitherOrBoth<L, R> {
    /// From the stream on which the word was said, without a partner.
    Left(L),
    /// From the other one, without a partner.
    Right(R),
    /// Two that belong together.
    Both(L, R),
}

impl<L, R> EitherOrBoth<L, R> {
    /// The left one, if there is one.
    pub fn left(self) -> Option<L> {
        match self {
            Self::Left(left) | Self::Both(left, _) => Some(left),
            Self::Right(_) => None,
        }
    }

    /// The right one, if there is one.
    pub fn right(self) -> Option<R> {
        match self {
            Self::Right(right) | Self::Both(_, right) => Some(right),
            Self::Left(_) => None,
        }
    }
}

/// Of which sides a join tells, and what: a closure, by [`Inner`], [`Left`], [`Right`] or
/// [`Outer`].
pub trait JoinKind<L, R>: Clone + Send + 'static {
    /// What is told.
    type Out: Send + 'static;
    /// Whether it tells of left records without a partner.
    const LEFT: bool;
    /// Whether it tells of right records without a partner.
    const RIGHT: bool;

    /// Tells, if it does of this.
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<Self::Out>;
}

/// Tells of those that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Inner<F>(pub(super) F);

/// Tells of those that belong together, and of left ones without a partner.
#[derive(Clone, Copy, Debug)]
pub struct Left<F>(pub(super) F);

/// Tells of those that belong together, and of right ones without a partner.
#[derive(Clone, Copy, Debug)]
pub struct Right<F>(pub(super) F);

/// Tells of all.
#[derive(Clone, Copy, Debug)]
pub struct Outer<F>(pub(super) F);

impl<L, R, O, F> JoinKind<L, R> for Inner<F>
where
    O: Send + 'static,
    F: FnMut(&L, &R) -> O + Clone + Send + 'static,
{
    type Out = O;
    const LEFT: bool = false;
    const RIGHT: bool = false;

    #[inline]
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<O> {
        match sides {
            EitherOrBoth::Both(left, right) => Some((self.0)(left, right)),
            EitherOrBoth::Left(_) | EitherOrBoth::Right(_) => None,
        }
    }
}

impl<L, R, O, F> JoinKind<L, R> for Left<F>
where
    O: Send + 'static,
    F: FnMut(&L, Option<&R>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const LEFT: bool = true;
    const RIGHT: bool = false;

    #[inline]
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<O> {
        let right = sides.right();
        sides.left().map(|left| (self.0)(left, right))
    }
}

impl<L, R, O, F> JoinKind<L, R> for Right<F>
where
    O: Send + 'static,
    F: FnMut(Option<&L>, &R) -> O + Clone + Send + 'static,
{
    type Out = O;
    const LEFT: bool = false;
    const RIGHT: bool = true;

    #[inline]
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<O> {
        let left = sides.left();
        sides.right().map(|right| (self.0)(left, right))
    }
}

impl<L, R, O, F> JoinKind<L, R> for Outer<F>
where
    O: Send + 'static,
    F: FnMut(EitherOrBoth<&L, &R>) -> O + Clone + Send + 'static,
{
    type Out = O;
    const LEFT: bool = true;
    const RIGHT: bool = true;

    #[inline]
    fn tell(&mut self, sides: EitherOrBoth<&L, &R>) -> Option<O> {
        Some((self.0)(sides))
    }
}
