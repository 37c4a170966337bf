//! Tuples of aggregates: several results at once.

use super::Aggregate;

/// Up to six aggregates are one whose result is a tuple.
macro_rules! tuples {
    ($(($($Inner:ident $inner:ident $at:tt),+))+) => {$(
        impl<T, $($Inner: Aggregate<T>),+> Aggregate<T> for ($($Inner,)+) {
            type Accumulator = ($($Inner::Accumulator,)+);
            type Out = ($($Inner::Out,)+);
            const NAME: &'static str = "aggregates";

            fn create(&self) -> Self::Accumulator {
                ($(self.$at.create(),)+)
            }

            #[inline]
            fn add(&self, ($($inner,)+): &mut Self::Accumulator, value: &T) {
                $(self.$at.add($inner, value);)+
            }

            fn merge(&self, ($($inner,)+): &mut Self::Accumulator, other: &Self::Accumulator) {
                $(self.$at.merge($inner, &other.$at);)+
            }

            fn result(&self, ($($inner,)+): &Self::Accumulator) -> Self::Out {
                ($(self.$at.result($inner),)+)
            }

            fn finish(&self, ($($inner,)+): Self::Accumulator) -> Self::Out {
                ($(self.$at.finish($inner),)+)
            }
        }
    )+};
}

tuples! {
    (A a 0)
    (A a 0, B b 1)
    (A a 0, B b 1, C c 2)
    (A a 0, B b 1, C c 2, D d 3)
    (A a 0, B b 1, C c 2, D d 3, E e 4)
    (A a 0, B b 1, C c 2, D d 3, E e 4, F f 5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::laws::{self, Cuts};
    use crate::aggregate::{Count, First, Last, Max, Min, Sum};

    proptest! {
        #![proptest_config(laws::config())]

        #[test]
        fn g18_a_tuple_gives_the_result_of_each(values: Vec<i16>, cuts: Cuts) {
            let (min, max) = (Min::of(|n: &i16| *n), Max::of(|n: &i16| *n));
            let all = (Count, First, Last, min, max, Sum::of(|n: &i16| *n));
            laws::hold(&all, &values, &cuts);
            let (count, first, last, smallest, largest, sum) = all.over(&values);
            prop_assert_eq!((count, first), (Count, First).over(&values));
            prop_assert_eq!((last,), (Last,).over(&values));
            prop_assert_eq!((smallest, largest), (min, max).over(&values));
            prop_assert_eq!(sum, values.iter().map(|n| i128::from(*n)).sum::<i128>());
        }
    }
}
