//! Not in the file itself, which the model checks compile, too.

use super::shelf::Shelf;

#[test]
fn memory_comes_back_when_nobody_holds_any_of_it() {
    let shelf = Shelf::default();
    let message = shelf.copy(&[7; 200]);
    let (address, part) = (message.as_ptr(), message.slice(5..10));
    drop(message);
    assert_eq!(shelf.bytes(), 0, "a part of it is still held");
    drop(part);
    assert_eq!(shelf.bytes(), 200);
    let shorter = shelf.copy(&[8; 100]);
    assert_eq!(shorter.as_ptr(), address);
    assert_eq!(shorter, [8; 100][..]);
}

#[test]
fn what_is_kept_fits_and_has_an_end() {
    let shelf = Shelf::default();
    for misfit in [99, 201] {
        drop(shelf.copy(&[0; 200]));
        let message = shelf.copy(&vec![0; misfit]);
        assert_eq!(shelf.bytes(), 0, "what did not fit is gone");
        drop(message);
        assert_eq!(shelf.bytes(), misfit);
    }
    drop([0; 6].map(|byte| shelf.copy(&vec![byte; 1024 * 1024])));
    assert_eq!(shelf.bytes(), 4 * 1024 * 1024);
    let late = shelf.copy(&[0; 100]);
    shelf.clear();
    drop(late);
    assert_eq!(shelf.bytes(), 0, "nothing is wanted any more");
}
